"""A finished model in the forms that others read, each compared with model.onnx on real images before it is handed over."""
