"""A page on which backpropagation happens: every number is real, in one file, without a network.

`handgrad explore` writes it. In a notebook:

    from handgrad.explore import show
    show(hidden=4, seed=7)
"""

from handgrad.explore.page import Frame as Frame
from handgrad.explore.page import page as page
from handgrad.explore.page import show as show

__all__ = ["Frame", "page", "show"]
