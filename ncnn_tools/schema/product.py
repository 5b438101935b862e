"""Matrix products, attention, embeddings and recurrent layers."""

from __future__ import annotations

from ncnn_tools.schema.base import LayerSchema, Lookup, WeightRule, WeightSpec, params, raw, tagged


def _inner_product_weights(get: Lookup) -> list[WeightSpec]:
    specs = [tagged("weight", get("weight_data_size"))]
    if get("bias_term"):
        specs.append(raw("bias", get("num_output")))
    if get("int8_scale_term"):
        specs += [raw("weight_scales", get("num_output")), raw("input_scale", 1)]
    return specs


def _gemm_weights(get: Lookup) -> list[WeightSpec]:
    rows, columns, depth = get("constant_m"), get("constant_n"), get("constant_k")
    specs = []
    if get("constant_a"):
        specs.append(tagged("a", rows * depth))
    if get("constant_b"):
        specs.append(tagged("b", depth * columns))
    broadcast = get("constant_broadcast_type_c")
    if get("constant_c") and broadcast != -1:
        count = {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}[broadcast]
        specs.append(tagged("c", count))
    if get("int8_scale_term"):
        specs += [raw("a_scales", rows)] if get("constant_a") else []
        specs += [raw("b_scale", 1)] if get("constant_b") else []
    return specs


def _attention_weights(get: Lookup) -> list[WeightSpec]:
    embed = get("embed_dim")
    query = get("weight_data_size") // embed if embed else 0
    specs = []
    for name, count in (("q", query), ("k", get("kdim")), ("v", get("vdim"))):
        specs += [tagged(f"{name}_weight", embed * count), raw(f"{name}_bias", embed)]
    specs += [tagged("out_weight", query * embed), raw("out_bias", query)]
    if get("int8_scale_term"):
        specs += [raw(f"{name}_scales", embed) for name in ("q", "k", "v")]
        specs.append(raw("out_scale", 1))
    return specs


def _embed_weights(get: Lookup) -> list[WeightSpec]:
    specs = [tagged("weight", get("weight_data_size"))]
    specs += [raw("bias", get("num_output"))] if get("bias_term") else []
    specs += [raw("weight_scale", 1)] if get("int8_scale_term") else []
    return specs


def _recurrent_weights(gates: int, bias_rows: int) -> WeightRule:
    def rule(get: Lookup) -> list[WeightSpec]:
        hidden = get("hidden_size") if gates == 4 else get("num_output")
        outputs = get("num_output")
        directions = 2 if get("direction") == 2 else 1
        rows = hidden * gates * directions
        specs = [
            tagged("weight_xc", get("weight_data_size")),
            tagged("bias_c", hidden * bias_rows * directions),
            tagged("weight_hc", rows * outputs),
        ]
        if gates == 4 and outputs != hidden:
            specs.append(tagged("weight_hr", hidden * outputs * directions))
        if get("int8_scale_term"):
            specs += [raw("weight_xc_scales", rows), raw("weight_hc_scales", rows)]
        return specs

    return rule


def _recurrent(kind: str, gates: int, bias_rows: int) -> LayerSchema:
    ids = params(num_output=(0, 0), weight_data_size=(1, 0), direction=(2, 0), int8_scale_term=(8, 0))
    if gates == 4:
        ids |= params(hidden_size=(3, "num_output"))
    return LayerSchema(kind, ids, _recurrent_weights(gates, bias_rows), int8=True)


PRODUCTS = [
    LayerSchema(
        "InnerProduct",
        params(
            num_output=(0, 0),
            bias_term=(1, 0),
            weight_data_size=(2, 0),
            int8_scale_term=(8, 0),
            activation_type=(9, 0),
            activation_params=(10, ()),
        ),
        _inner_product_weights,
        int8=True,
    ),
    LayerSchema(
        "Gemm",
        params(
            alpha=(0, 1.0),
            beta=(1, 1.0),
            trans_a=(2, 0),
            trans_b=(3, 0),
            constant_a=(4, 0),
            constant_b=(5, 0),
            constant_c=(6, 0),
            constant_m=(7, 0),
            constant_n=(8, 0),
            constant_k=(9, 0),
            constant_broadcast_type_c=(10, 0),
            int8_scale_term=(18, 0),
        ),
        _gemm_weights,
        int8=True,
    ),
    LayerSchema("MatMul", params(trans_b=(0, 0))),
    LayerSchema(
        "MultiHeadAttention",
        params(
            embed_dim=(0, 0),
            num_heads=(1, 1),
            weight_data_size=(2, 0),
            kdim=(3, "embed_dim"),
            vdim=(4, "embed_dim"),
            attn_mask=(5, 0),
            scale=(6, 0.0),
            int8_scale_term=(18, 0),
        ),
        _attention_weights,
        int8=True,
    ),
    LayerSchema(
        "SDPA",
        params(attn_mask=(5, 0), scale=(6, 0.0), kv_cache=(7, 0), int8_scale_term=(18, 0)),
        int8=True,
    ),
    LayerSchema(
        "Embed",
        params(
            num_output=(0, 0),
            input_dim=(1, 0),
            bias_term=(2, 0),
            weight_data_size=(3, 0),
            int8_scale_term=(18, 0),
        ),
        _embed_weights,
    ),
    _recurrent("LSTM", gates=4, bias_rows=4),
    _recurrent("GRU", gates=3, bias_rows=4),
    _recurrent("RNN", gates=1, bias_rows=1),
]
