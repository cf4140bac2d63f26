"""The dense variant that needs another encoder's features: its name, and what goes with it."""

SAM_PROXY = "sam-proxy"
NEEDS_PROXY = (
    "The dense variant sam-proxy and a second encoder go together: --dense sam-proxy --sam FILE "
    "(weights of SAM or DINOv2)."
)
