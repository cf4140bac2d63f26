"""Second encoders beside CLIP: SAM and DINOv2."""
