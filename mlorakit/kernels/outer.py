"""Outer products of two vectors per row for compiled loops; rows lie side by side, see `lanes`."""

from mlorakit.kernels.lanes import serial


@serial
def outer_products(x, x0, out):  # type: ignore[no-untyped-def]
    """out[m F + f] = x[m] x0[f]; x0 (F, K L), x has more rows than the maps that count."""
    fields = x0.shape[0]
    for n in range(out.shape[0]):
        a, b, to = x[n // fields], x0[n % fields], out[n]
        for i in range(to.size):
            to[i] = a[i] * b[i]


@serial
def outer_backward(of_out, x, x0, of_x, of_x0):  # type: ignore[no-untyped-def]
    """Adds the gradients of x and x0 to of_x and of_x0, which may be one array."""
    fields = x0.shape[0]
    for n in range(of_out.shape[0]):
        m, f = n // fields, n % fields
        grad, a, b, of_a, of_b = of_out[n], x[m], x0[f], of_x[m], of_x0[f]
        for i in range(grad.size):
            of_a[i] += grad[i] * b[i]
        for i in range(grad.size):
            of_b[i] += grad[i] * a[i]
