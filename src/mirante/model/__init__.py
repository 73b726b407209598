"""What is trained: the notation of layers, the network it stands for, its summary, and its ONNX file."""
