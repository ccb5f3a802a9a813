"""The two kinds of wire model: what a caller sends is checked to the letter, what a server answers may grow."""

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """Sent by a caller: an unknown field is an error, so that a misspelt option is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Sent by the server: unknown fields are ignored, so that an old client reads a newer server."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, serialize_by_alias=True)
