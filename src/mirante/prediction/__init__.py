"""What a trained model answers, through ONNX Runtime. Nothing here imports torch."""
