"""The types of problems that the API answers with: each has one HTTP status and one title, wherever it comes from."""

from __future__ import annotations

from typing import Final, NamedTuple


class ProblemType(NamedTuple):
    """A type of problem in the sense of RFC 9457; `kind` is what follows `urn:amends:problem:`, and never changes."""

    status: int
    kind: str
    title: str


MALFORMED_JSON: Final = ProblemType(400, "malformed-json", "Malformed JSON")
MALFORMED_REQUEST: Final = ProblemType(400, "malformed-request", "Malformed request")
UNAUTHORISED: Final = ProblemType(401, "unauthorised", "Unauthorised")
FORBIDDEN: Final = ProblemType(403, "forbidden", "Forbidden")
FOREIGN_ORIGIN: Final = ProblemType(403, "foreign-origin", "Cross-origin request refused")
NOT_FOUND: Final = ProblemType(404, "not-found", "Not found")
TOO_SLOW: Final = ProblemType(408, "too-slow", "Request too slow")
CONFLICT: Final = ProblemType(409, "conflict-[a-z-]+", "Conflict with what is stored")
"""A family of types: `kind` is a regular expression."""
HISTORY_WENT_BACK: Final = ProblemType(409, "history-went-back", "History went back")
REFUSED: Final = "Refused"
"""The title of a business refusal, whose name is its type: 409."""
STALE: Final = ProblemType(412, "stale", "Stale version")
TOO_LARGE: Final = ProblemType(413, "too-large", "Too large")
NOT_JSON: Final = ProblemType(415, "not-json", "Body is not declared as JSON")
WRONG_HOST: Final = ProblemType(421, "wrong-host", "Unknown host")
INVALID: Final = ProblemType(422, "invalid", "Invalid value")
UNSTORABLE: Final = ProblemType(422, "unstorable", "Value cannot be stored")
IF_MATCH_MISSING: Final = ProblemType(428, "if-match-missing", "If-Match is missing")
HEAD_TOO_LARGE: Final = ProblemType(431, "head-too-large", "Request head too large")
INTERNAL: Final = ProblemType(500, "internal", "Internal error")
UNREADABLE_EVENT: Final = ProblemType(501, "unreadable-event", "Unreadable event")
UNAVAILABLE: Final = ProblemType(503, "unavailable", "Temporarily unavailable")
BRAKED: Final = ProblemType(503, "braked", "Starts are refused by a brake")
TOO_MANY_FOLLOWERS: Final = ProblemType(503, "too-many-followers", "Too many followers")
BEHIND: Final = ProblemType(503, "behind", "Read model is behind")
NOT_READY: Final = ProblemType(503, "not-ready", "Not ready")
UNFIT: Final = ProblemType(503, "unfit", "Server must be restarted")
