"""The table of core ops: everything that a graph can say.

Conventions: operands broadcast as in numpy (implicitly); axes are in [0, rank); float ops compute
in FP32 (FP64 for FP64 operands) and round once when stored; functions are correctly rounded up to
double precision's own error; integer arithmetic wraps. Normalisations, softmax, attention, pooling
averages and biases are *not* ops: frontends decompose them and fusion is the compiler's work.
`evaluate.py` gives every op's meaning, `inference.py` its result type.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from compiler.graph import inference as infer
from compiler.graph import inference_movement as moves
from compiler.graph import inference_windows as windows
from compiler.graph.graph import BOOL, Attr
from compiler.graph.inference import Infer


class Family(Enum):
    """What kind of loop nest an op is; the back end dispatches on it."""

    UNARY = "unary"  # y[i] = f(x[i])
    BINARY = "binary"  # y[i] = f(a[i], b[i]), broadcast
    COMPARE = "compare"  # as binary, boolean result
    SELECT = "select"
    CONVERT = "convert"  # cast and copy
    CONTRACT = "contract"  # matmul and convolutions
    WINDOW = "window"
    REDUCE = "reduce"
    MOVE = "move"  # transpose, reshape, broadcast_to, slice, concat, pad: no arithmetic
    INDEX = "index"  # addresses that are data: gather, scatter, topk
    SCAN = "scan"


@dataclass(frozen=True)
class CoreOp:
    """One op: operand names, attributes with their defaults (None: required), formula."""

    name: str
    family: Family
    operands: tuple[str, ...]  # ("x*",) is one or more
    formula: str
    infer: Infer
    attrs: tuple[tuple[str, Attr | None], ...] = ()
    commutative: bool = False
    results: int = 1

    @property
    def variadic(self) -> bool:
        return self.operands[-1].endswith("*")


def _unary(name: str, formula: str, kinds: str = "f", to_bool: bool = False) -> CoreOp:
    rule = infer.elementwise(kinds, BOOL if to_bool else None)
    return CoreOp(name, Family.UNARY, ("x",), formula, rule)


def _binary(name: str, formula: str, kinds: str = "fi", commutative: bool = False) -> CoreOp:
    return CoreOp(
        name, Family.BINARY, ("a", "b"), formula, infer.elementwise(kinds), (), commutative
    )


def _compare(name: str, formula: str, kinds: str = "fi", commutative: bool = False) -> CoreOp:
    rule = infer.elementwise(kinds, BOOL)
    return CoreOp(name, Family.COMPARE, ("a", "b"), formula, rule, (), commutative)


# fmt: off
_UNARY = (
    _unary("neg",        "-x", "fi"),
    _unary("abs",        "|x|", "fi"),
    _unary("sign",       "-1, 0 or 1; NaN stays", "fi"),
    _unary("relu",       "max(x, 0); NaN stays", "fi"),
    _unary("exp",        "e**x"),
    _unary("log",        "natural logarithm"),
    _unary("sqrt",       "square root"),
    _unary("rsqrt",      "1 / sqrt(x)"),
    _unary("reciprocal", "1 / x"),
    _unary("erf",        "error function"),
    _unary("tanh",       "hyperbolic tangent"),
    _unary("sigmoid",    "1 / (1 + exp(-x))"),
    _unary("softplus",   "log(1 + exp(x))"),
    _unary("gelu",       "x * (1 + erf(x / sqrt(2))) / 2"),
    _unary("gelu_tanh",  "x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2"),
    _unary("silu",       "x * sigmoid(x)"),
    _unary("mish",       "x * tanh(softplus(x))"),
    _unary("sin",        "sine of radians"),
    _unary("cos",        "cosine of radians"),
    _unary("atan",       "inverse tangent, radians"),
    _unary("floor",      "largest integer <= x"),
    _unary("ceil",       "smallest integer >= x"),
    _unary("round",      "nearest integer, ties to even"),
    _unary("isnan",      "x is NaN", "f", to_bool=True),
    _unary("isinf",      "x is +inf or -inf", "f", to_bool=True),
    _unary("not",        "logical not of a boolean", "b"),
    _unary("bit_not",    "bitwise complement", "i"),
)
_BINARY = (
    _binary("add", "a + b", commutative=True),
    _binary("sub", "a - b"),
    _binary("mul", "a * b", commutative=True),
    _binary("div", "a / b; integers truncate towards zero"),
    _binary("pow", "a ** b"),
    _binary("mod", "a - b * floor(a / b): the sign of b"),
    _binary("rem", "a - b * trunc(a / b): the sign of a (C's fmod)"),
    _binary("max", "the larger; NaN if either is", commutative=True),
    _binary("min", "the smaller; NaN if either is", commutative=True),
    _binary("and", "logical on booleans, bitwise on integers", "bi", commutative=True),
    _binary("or",  "logical on booleans, bitwise on integers", "bi", commutative=True),
    _binary("xor", "logical on booleans, bitwise on integers", "bi", commutative=True),
    _binary("shl", "a << b; 0 from the width on", "i"),
    _binary("shr", "a >> b, arithmetic if signed; sign fill from the width on", "i"),
)
_COMPARE = (
    _compare("eq", "a == b", "fib", commutative=True),
    _compare("ne", "a != b", "fib", commutative=True),
    _compare("lt", "a < b"),
    _compare("le", "a <= b"),
    _compare("gt", "a > b"),
    _compare("ge", "a >= b"),
)
# fmt: on
_SPATIAL = (("strides", None), ("pads", None), ("dilations", None), ("groups", 1))
_OTHER = (
    CoreOp("select", Family.SELECT, ("cond", "a", "b"), "cond ? a : b, broadcast", infer.select),
    CoreOp(
        "cast",
        Family.CONVERT,
        ("x",),
        "x as dtype `to`: floats round to nearest even; float to integer truncates towards zero "
        "and saturates, NaN to 0; to boolean is x != 0; integer to integer wraps",
        infer.cast,
        (("to", None),),
    ),
    CoreOp("copy", Family.CONVERT, ("x",), "x (names a value that is a model output)", infer.same),
    CoreOp(
        "matmul",
        Family.CONTRACT,
        ("a", "b"),
        "y[.., m, n] = sum over k of a[.., m, k] * b[.., k, n]; leading dimensions broadcast; "
        "transpose_a / transpose_b swap the last two dimensions of an operand first",
        infer.matmul,
        (("transpose_a", False), ("transpose_b", False)),
    ),
    CoreOp(
        "conv",
        Family.CONTRACT,
        ("x", "w"),
        "y[n, o, s] = sum over c, k of x[n, g(o)*C/groups + c, s*stride + k*dilation - pad_lo] * "
        "w[o, c, k]; x [N, C, *S], outside zero or `fill` (one number a channel); "
        "w [O, C/groups, *K]; pads ((lo, hi), ...); folds (i, o): x holds i, y holds o blocks of "
        "rows side by side as channels, each beginning with the last `shared` of the one in front, "
        "the first with `lead` times its own first row; auto-cast leaves one that is `precise`",
        windows.conv,
        (
            *_SPATIAL,
            ("folds", (1, 1)),
            ("shared", (0, 0)),
            ("lead", 0),
            ("fill", ()),
            ("precise", False),
        ),
    ),
    CoreOp(
        "conv_transpose",
        Family.CONTRACT,
        ("x", "w"),
        "the adjoint of conv: y[n, o, s*stride + k*dilation - pad_lo] += x[n, c, s] * w[c, o, k]; "
        "w [C, O/groups, *K]; output_padding adds positions at the high end",
        windows.conv_transpose,
        (*_SPATIAL, ("output_padding", None)),
    ),
    CoreOp(
        "reduce_window",
        Family.WINDOW,
        ("x",),
        "y[n, c, s] = kind over k of x[n, c, s*stride + k*dilation - pad_lo]; kind max or sum; "
        "outside is -inf (the least integer) for max, 0 for sum",
        windows.reduce_window,
        (("kind", None), ("window", None), ("strides", None), ("dilations", None), ("pads", None)),
    ),
    CoreOp(
        "reduce",
        Family.REDUCE,
        ("x",),
        "kind (sum, mean, max, min, prod) over axes; axes () is the identity; order unspecified",
        infer.reduce,
        (("kind", None), ("axes", None), ("keepdims", True)),
    ),
    CoreOp(
        "argmax",
        Family.INDEX,
        ("x",),
        "index (INT64) of the largest along axis; of equals the first, or the last (select_last)",
        infer.arg_reduce,
        (("axis", None), ("keepdims", True), ("select_last", False)),
    ),
    CoreOp(
        "argmin",
        Family.INDEX,
        ("x",),
        "index (INT64) of the smallest along axis; of equals the first, or the last (select_last)",
        infer.arg_reduce,
        (("axis", None), ("keepdims", True), ("select_last", False)),
    ),
    CoreOp(
        "transpose",
        Family.MOVE,
        ("x",),
        "dimension i of y is dimension perm[i] of x",
        moves.transpose,
        (("perm", None),),
    ),
    CoreOp(
        "reshape",
        Family.MOVE,
        ("x",),
        "the same elements in row-major order; `shape` is the result's own",
        moves.reshape,
        (("shape", None),),
    ),
    CoreOp(
        "bitcast",
        Family.MOVE,
        ("x",),
        "the bits of x as those of dtype `to`, which is as wide",
        moves.bitcast,
        (("to", None),),
    ),
    CoreOp(
        "broadcast_to",
        Family.MOVE,
        ("x",),
        "x repeated to `shape` by numpy's rules",
        moves.broadcast_to,
        (("shape", None),),
    ),
    CoreOp(
        "slice",
        Family.MOVE,
        ("x",),
        "y[i] = x[starts + i * steps], sizes elements a dimension; a step may be negative; "
        "`reading` tells apart equal slices that are to be loaded anew",
        moves.slice_,
        (("starts", None), ("sizes", None), ("steps", None), ("reading", 0)),
    ),
    CoreOp("concat", Family.MOVE, ("x*",), "joined along axis", moves.concat, (("axis", None),)),
    CoreOp(
        "assemble",
        Family.MOVE,
        ("x*",),
        "the boxes of y in row-major order, `grid` of them along each dimension; y lies in DRAM, "
        "where each box goes when it is made, and is read in slices",
        moves.assemble,
        (("grid", None),),
    ),
    CoreOp(
        "pad",
        Family.MOVE,
        ("x",),
        "pads ((lo, hi), ...) elements a dimension of `value` (constant), the border (edge), the "
        "mirror without the border (reflect), or the other end (wrap)",
        moves.pad,
        (("pads", None), ("mode", "constant"), ("value", 0.0)),
    ),
    CoreOp(
        "gather",
        Family.INDEX,
        ("x", "indices"),
        "numpy take along axis: y[i.., j.., k..] = x[i.., indices[j..], k..]; indices in [-n, n), "
        "negative ones count from the end",
        moves.gather,
        (("axis", 0),),
    ),
    CoreOp(
        "scatter",
        Family.INDEX,
        ("x", "indices", "updates"),
        "y = x, then for i in order y[indices[i]] = y[indices[i]] kind updates[i] along axis 0; "
        "kind none (replace), sum, prod, max, min; indices in [0, n)",
        moves.scatter,
        (("kind", "none"),),
    ),
    CoreOp(
        "cumsum",
        Family.SCAN,
        ("x",),
        "running sum along axis; exclusive leaves the element out, reverse runs from the end",
        moves.cumsum,
        (("axis", None), ("exclusive", False), ("reverse", False)),
    ),
    CoreOp(
        "topk",
        Family.INDEX,
        ("x",),
        "the k largest (or smallest) along axis in order, and their indices (INT64); of equals the "
        "lower index first; NaN counts as the largest",
        moves.topk,
        (("axis", None), ("k", None), ("largest", True)),
        results=2,
    ),
)

CORE_OPS: dict[str, CoreOp] = {op.name: op for op in (*_UNARY, *_BINARY, *_COMPARE, *_OTHER)}
