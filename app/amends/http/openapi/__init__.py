"""The API's document, its page, and the bodies of answers that it describes."""
