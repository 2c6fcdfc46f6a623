"""A trained prompt and its backbone as ONNX graphs, with what programs without torch need beside them."""
