"""The parameters of the public AGaLiTe code, as README.md names them, in our modules."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from romanesco.memory import GRU, LSTM, AGaLiTe, GaLiTe, GTrXL, Stack

HERE = Path(__file__).resolve().parent
KEY = jax.random.key(0)  # all that is drawn with it is replaced


def load(name):
    """-> the nested parameters, and the outputs by name."""
    params, outputs = {}, {}
    for path, x in np.load(HERE / f"{name}.npz").items():
        *inner, last = path.split("/")[1:]
        place = params if path.startswith("params/") else outputs
        for part in inner:
            place = place.setdefault(part, {})
        place[last] = jnp.asarray(x)
    return params, outputs


def put(module, **parts):
    """`module` with other parts, of the same structure and shapes."""
    made = eqx.tree_at(lambda m: [getattr(m, name) for name in parts], module, list(parts.values()))
    before, after = (jax.tree.map(jnp.shape, m) for m in (module, made))
    if before != after:
        raise ValueError(f"{type(module).__name__}: {before} cannot hold {after}")
    return made


def linear(dense):
    """From flax's kernel [I O]."""
    module = eqx.nn.Linear(*dense["kernel"].shape, use_bias="bias" in dense, key=KEY)
    return put(module, weight=dense["kernel"].T, **({"bias": dense["bias"]} if "bias" in dense else {}))


def norm(module, layer_norm):
    return put(module, scale=layer_norm["scale"], shift=layer_norm["bias"])


def gate(module, unit):
    def rows(*names):
        return jnp.concatenate([unit[name]["kernel"].T for name in names])

    branch, stream = rows("Wr", "Wz", "Wg"), rows("Ur", "Uz")
    return put(module, branch=branch, stream=stream, reset=rows("Ug"), bias=unit["bgp"])


def block(layer, cell, block):
    """A layer around `cell`: norms, gates and feed-forward as agalite and galite name them."""
    return put(
        layer,
        cell=cell,
        norm=norm(layer.norm, block["LayerNorm_0"]),
        gate=gate(layer.gate, block["GRUGatingUnit_0"]),
        up=linear(block["Dense_0"]),
        down=linear(block["Dense_1"]),
        ffn_norm=norm(layer.ffn_norm, block["LayerNorm_1"]),
        ffn_gate=gate(layer.ffn_gate, block["GRUGatingUnit_1"]),
    )


def agalite(params, channels):
    """-> our encoder and stack; `channels` are the public r."""
    encoder = linear(params["layer1"]["emb_layer"])
    stack = Stack.of(
        AGaLiTe, layers=2, size=6, heads=2, head_size=8, ffn=7, eta=4, basis="reference", channels=channels,
        epsilon=1e-5, key=KEY,
    )  # fmt: skip

    def layer(ours, theirs):
        attention = theirs["AttentionORLiTLayer_0"]
        names = {"enter": "linear_kqvbetagammas", "factor": "linear_p1p2p3", "leave": "project"}
        cell = put(ours.cell, **{ours: linear(attention[theirs]) for ours, theirs in names.items()})
        return block(ours, cell, theirs)

    return encoder, put(stack, layers=tuple(map(layer, stack.layers, [params["layer1"], params["layer2"]])))


def galite(params):
    """-> our encoder and stack; per head and layer theirs are arrays of their own."""
    encoder = linear(params["layer0"]["emb_layer"])
    sizes = {"layers": 2, "size": 6, "heads": 2, "head_size": 8, "ffn": 7, "eta": 2}
    stack = Stack.of(GaLiTe, decay="reference", key=KEY, **sizes)

    def joined(module, *parts):  # of [H I o] each -> rows by head, then part
        weight = jnp.concatenate([part["kernel"].swapaxes(1, 2) for part in parts], 1)
        bias = jnp.concatenate([part["bias"] for part in parts], 1)
        return put(module, weight=weight.reshape(-1, weight.shape[-1]), bias=bias.reshape(-1))

    def each(module, part):
        return put(module, weight=part["kernel"].swapaxes(1, 2), bias=part["bias"])

    def layer(ours, theirs):
        attention, cell = theirs["RLTAttentionLayer_0"], ours.cell
        written, query = attention["csop"], attention["ParameteredProjection_0"]
        key, gamma = written["ParameteredProjection_0"], written["ParameteredProjection_1"]
        wide = key["Dense_0"], attention["Dense_0"], written["Dense_0"], written["Dense_1"], gamma["Dense_0"]
        cell = put(
            cell,
            enter=joined(cell.enter, *wide),
            factor=joined(cell.factor, key["Dense_1"], gamma["Dense_1"]),
            query=tuple(map(each, cell.query, (query["Dense_0"], query["Dense_1"]))),
            leave=linear(attention["Dense_1"]),
        )
        return block(ours, cell, theirs)

    return encoder, put(stack, layers=tuple(map(layer, stack.layers, [params["layer0"], params["layer1"]])))


def gtrxl(params, memory_len):
    """-> our encoder and stack. Their bias of positions is left out: the softmax cancels it."""
    encoder = linear(params["embedding"]["layers_0"])
    sizes = {"layers": 2, "size": 6, "heads": 2, "head_size": 8, "window": memory_len + 1}
    stack = Stack.of(GTrXL, query_norm=False, key=KEY, **sizes)

    def layer(ours, theirs):
        attention, mlp, cell = theirs["attention"], theirs["mlp"], ours.cell
        cell = put(
            cell,
            norm=norm(cell.norm, theirs["layernorm1"]),
            query=linear(attention["attention_q"]),
            enter=linear(attention["attention_kv"]),
            position=put(cell.position, weight=attention["project_pos"]["kernel"].T),
            leave=linear(attention["project"]),
            content_bias=params["u"],
            position_bias=params["v"],
        )
        return put(
            ours,
            cell=cell,
            gate=gate(ours.gate, theirs["gate1"]),
            up=linear(mlp["layers_0"]["layers_0"]),
            down=linear(mlp["layers_2"]["layers_0"]),
            ffn_norm=norm(ours.ffn_norm, theirs["layernorm2"]),
            ffn_gate=gate(ours.ffn_gate, theirs["gate2"]),
        )

    return encoder, put(stack, layers=tuple(map(layer, stack.layers, [params["layers_0"], params["layers_1"]])))


def lstm(params):
    cell = params["LSTM_0"]["ScanLSTMout_0"]["OptimizedLSTMCell_0"]
    enter, recur = (jnp.concatenate([cell[side + gate]["kernel"].T for gate in "ifgo"]) for side in "ih")
    made = LSTM(enter.shape[1], units=recur.shape[1], key=KEY)
    bias = jnp.concatenate([cell["h" + gate]["bias"] for gate in "ifgo"])
    return put(made, enter=put(made.enter, weight=enter, bias=bias), recur=recur)


def gru(params):
    """Two of the recurrent biases do not exist there."""
    cell = params["GRU_0"]["ScanGRUout_0"]["GRUCell_0"]
    enter, recur = (jnp.concatenate([cell[side + gate]["kernel"].T for gate in "rzn"]) for side in "ih")
    made = GRU(enter.shape[1], units=recur.shape[1], key=KEY)
    enter_bias = jnp.concatenate([cell["i" + gate]["bias"] for gate in "rzn"])
    recur_bias = jnp.concatenate([jnp.zeros(2 * recur.shape[1]), cell["hn"]["bias"]])
    enter, recur = put(made.enter, weight=enter, bias=enter_bias), put(made.recur, weight=recur, bias=recur_bias)
    return put(made, enter=enter, recur=recur)
