"""The causes by which sagas that were suspended or compensated are grouped: what many of them have in common."""
