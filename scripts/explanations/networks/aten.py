"""Torch's own operations (ATen) by name, without the underscore of those that overwrite their input: what each does.

Every call of any network ends in these, whatever its modules are called.
"""

# Of each operation, the arguments that are added to its others, or that cut these off.
ADDED = {
    **dict.fromkeys(("add", "sub", "rsub", "maximum", "minimum", "fmax", "fmin"), ("self", "other")),
    **dict.fromkeys(("addmm", "addmv", "addbmm", "baddbmm", "addcmul", "addcdiv", "addr"), ("self",)),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), ("min", "max")),
}
BIAS_ARGUMENTS = ("bias", "running_mean")  # of convolutions and normalisations: biases whatever their shape

MULTIPLIED = ("mul", "div", "mm", "bmm", "mv", "dot", "pow", "prelu_kernel", "embedding")
MATRIX_PRODUCTS = ("mm", "bmm", "mv", "addmm", "addmv", "baddbmm", "addbmm")  # what linear maps end in
FACTOR_ARGUMENTS = (
    *("weight", "running_var", "mat1", "mat2", "vec", "vec1", "vec2", "batch1", "batch2", "tensor1", "tensor2"),
)
JOINED = ("cat", "stack", "copy", "index_put", "slice_scatter", "select_scatter", "scatter", "masked_scatter", "where")

# Their result is 0 if all of their learned arguments are.
LINEAR = (
    *("cat", "stack", "repeat", "clone", "to_copy", "neg", "sum", "mean", "add", "sub", "rsub", "copy", "index"),
    *("index_select", "gather", "roll", "flip", "constant_pad_nd", "unsafe_view", "slice_scatter", "select_scatter"),
    *("index_put", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d", "embedding", "where"),
    *("zero", "fill", "masked_fill", "index_fill"),
)
# They take a tensor's shape, and none of its values.
SHAPED = ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")

# What divides activities by a statistic of theirs normalises them. (AlexNet's, of neighbours, is a pooling.)
STATISTICS = ("mean", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm")
# Of a statistic these make a value that is one still.
KEEPING = ("add", "sub", "sqrt", "rsqrt", "reciprocal", "pow", "maximum", "clamp", "clamp_min", "to_copy", "mean")
BATCH_NORMALISATIONS = ("native_batch_norm", "native_batch_norm_legit", "native_batch_norm_legit_no_training")
LAYER_NORMALISATIONS = ("native_layer_norm", "native_group_norm", "fused_rms_norm")
