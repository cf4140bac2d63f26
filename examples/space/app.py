"""A Space: the studio for everybody. Try and Compare alone; nothing is written, nothing is started.

PORT is the one that README.md names. Two variables of the Space choose another model than
lsmseg-tiny, which knows drawings only: MODEL and PRETRAINED, such as ViT-B-16 and openai, whose
weights are fetched when the Space starts.
"""

import os

from starlette.applications import Starlette

from ablations.studio.app import create_app
from ablations.studio.options import StudioOptions
from ablations.studio.state import Studio

HOST, PORT = "0.0.0.0", 7860


def make_app() -> Starlette:
    """The studio as an ASGI application; the model is loaded behind the first page."""
    options = StudioOptions(
        public=True,
        host=HOST,
        port=PORT,
        model=os.environ.get("MODEL", "lsmseg-tiny"),
        pretrained=os.environ.get("PRETRAINED"),
    )
    studio = Studio(options)
    studio.load()
    return create_app(studio)


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(make_app(), host=HOST, port=PORT, ws="none", server_header=False)
