"""CLIP, its dense variants and its tokenizer."""
