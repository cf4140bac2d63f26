"""What the models of run.json are made of: import it lazily."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(allow_inf_nan=False)]
Score = Number | None  # None: undefined
Texts = list[str]


class Part(BaseModel):
    """A part of a record, which may hold more."""

    model_config = ConfigDict(extra="allow", strict=True)
