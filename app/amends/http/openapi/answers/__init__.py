"""The bodies of answers, for the OpenAPI document. An answer may have more members one day: clients let them pass."""

from typing import TypeAlias

FeedToken: TypeAlias = str
"""A place in the feed: opaque."""
