"""All rules of one function: backward, its own backward, forward mode, and how it is batched.

handgrad check examples/rules.py            x · sigmoid(x), checked in all four ways
handgrad check examples/rules.py:constant   a backward that keeps sigmoid(x) as a constant
handgrad check examples/rules.py:tangent    a jvp without one half of the product rule
handgrad check examples/rules.py:batched    a vmap rule that forgets where the batch was
"""

import torch


class Swish(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * torch.sigmoid(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def slope(x):
        s = torch.sigmoid(x)
        return s + x * s * (1 - s)

    @classmethod
    def backward(cls, ctx, g):
        return g * cls.slope(*ctx.saved_tensors)

    @classmethod
    def jvp(cls, ctx, v):
        return v * cls.slope(*ctx.saved_tensors)


class Constant(Swish):
    @staticmethod
    def slope(x):
        return Swish.slope(x.detach())


class Forward(Swish):
    @staticmethod
    def jvp(ctx, v):
        return v * torch.sigmoid(*ctx.saved_tensors)


class Batch(Swish):
    generate_vmap_rule = False

    @staticmethod
    def vmap(info, in_dims, x):
        return Batch.apply(x), 0


module, inputs = Swish.apply, torch.linspace(-2, 3, 12, dtype=torch.float64).reshape(4, 3)
second = forward_ad = vmap = True

constant = {"module": Constant.apply, "inputs": inputs, "second": True}
tangent = {"module": Forward.apply, "inputs": inputs, "forward_ad": True}
batched = {"module": Batch.apply, "inputs": inputs, "vmap": True}
