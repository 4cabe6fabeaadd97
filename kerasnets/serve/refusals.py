"""How a request can fail, each with one sentence for its sender: HTTP's status and gRPC's name of it."""


class Refused(Exception):
    """The request gets no answer but this sentence."""

    status = 400
    code = "INVALID_ARGUMENT"


class Unknown(Refused):
    """There is no such model, version or path."""

    status, code = 404, "NOT_FOUND"


class Slow(Refused):
    """The request did not come in time."""

    status, code = 408, "DEADLINE_EXCEEDED"


class Large(Refused):
    """The request has too many bytes."""

    status, code = 413, "RESOURCE_EXHAUSTED"


class Busy(Refused):
    """There is no room, or no time, for the request now; it may be sent again."""

    status, code = 503, "UNAVAILABLE"
