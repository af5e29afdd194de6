"""The place where the gradient checker used to be: whoever imports it is told the new one."""

raise ImportError(
    "handgrad.gradcheck must be imported as a function, `from handgrad import gradcheck`; "
    "the package behind it is now handgrad.checker"
)
