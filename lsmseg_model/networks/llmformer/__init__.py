"""LLMFormer: a mask decoder that is told what a description of the picture names."""
