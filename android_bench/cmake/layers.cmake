# Which of ncnn's layers are built. `lean` holds what the portrait networks and common mobile
# convolutional networks use, what their int8 variants add, and what these need from within:
# deconvolution needs gemm, convolution needs innerproduct and flatten, ncnn's mat.cpp uses bias,
# scale, padding, crop, interp, packing, cast, quantize, dequantize and requantize.
set(LEAN_LAYERS
    # structure
    Input MemoryData Noop Split Slice Concat Crop Padding Packing Cast Flatten Reshape Permute
    Squeeze ExpandDims Tile DeepCopy Dropout ShuffleChannel PixelShuffle Reorg
    # linear
    Convolution ConvolutionDepthWise Deconvolution DeconvolutionDepthWise InnerProduct Gemm MatMul
    # arithmetic
    BinaryOp UnaryOp Eltwise Reduction Scale Bias Softmax
    # normalization
    BatchNorm InstanceNorm GroupNorm LayerNorm Normalize
    # activation
    ReLU PReLU Clip Sigmoid TanH ELU HardSigmoid HardSwish Swish Mish GELU
    # resampling
    Pooling Interp
    # int8
    Quantize Dequantize Requantize)

# Set ncnn's WITH_LAYER_* options: all of its layers for `full`, those above for `lean`. Their names
# are left in generated/built_layers.inc, for the binary, and generated/built_layers.txt.
function(select_layers ncnn_source_dir selection)
    file(STRINGS ${ncnn_source_dir}/src/CMakeLists.txt lines REGEX "^ncnn_add_layer\\(")
    foreach(line IN LISTS lines)
        string(REGEX REPLACE "^ncnn_add_layer\\(([A-Za-z0-9]+).*" "\\1" layer ${line})
        list(APPEND all_layers ${layer})
        string(TOLOWER ${layer} option)
        if(selection STREQUAL full OR layer IN_LIST LEAN_LAYERS)
            set(WITH_LAYER_${option} ON CACHE BOOL "" FORCE)
            list(APPEND built_layers ${layer})
        else()
            set(WITH_LAYER_${option} OFF CACHE BOOL "" FORCE)
        endif()
    endforeach()
    foreach(layer IN LISTS LEAN_LAYERS)
        if(NOT layer IN_LIST all_layers)
            message(FATAL_ERROR "ncnn has no layer ${layer}")
        endif()
    endforeach()
    list(JOIN built_layers "\n" names)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/built_layers.txt CONTENT "${names}\n")
    list(JOIN built_layers "\",\n\"" strings)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/built_layers.inc CONTENT "\"${strings}\",\n")
endfunction()
