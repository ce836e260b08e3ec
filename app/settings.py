"""The settings of this service, beside those of Amends."""

from __future__ import annotations

from pydantic import Field

from app.amends.settings import Settings


class ShopSettings(Settings):
    """`AMENDS_` stands before the name of each of these too."""

    approval_limit: int = Field(100_000, ge=0, description="minor units above which a transfer needs an approval")
    provider_url: str | None = Field(None, description="base URL of the provider; its own test-mode one if not set")
    open_sandbox: bool = Field(False, description="whether others than the service may call its test-mode provider")
