"""What an admin may give in options; what is none of these is refused before anything starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]
UserId = Annotated[int, Field(gt=0, lt=2**31)]
"""Of somebody who is not root."""
AnyUserId = Annotated[int, Field(ge=0, lt=2**31)]
Pull = Literal["Always", "IfNotPresent", "Never"]
Fraction = Annotated[float, Field(gt=0, le=1)]
Factor = Annotated[float, Field(gt=0, le=1000)]
Seconds = Annotated[float, Field(ge=0, le=10**9)]
Files = Annotated[int, Field(ge=1, le=1000)]
"""An engine looks through the names of all of them."""
