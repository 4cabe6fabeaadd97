"""What one client may ask for, and all of them together."""

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Each has an option of `kerasnets serve`.

    Attributes:
        body: Bytes of a request's body, or of a gRPC message.
        json: Bytes of the JSON in a request, or of a gRPC message beside its raw contents: to parse it takes many times
            as much memory, and time.
        pixels: Height times width of an image; of images that are computed together, their sum.
        images: Images in a request.
        batch: Images that are computed together.
        delay: Seconds that an image waits for others of its size, while the processor is idle.
        queue: Images that wait to be computed.
        memory: Bytes of bodies and decoded images that are held at a time.
        connections: HTTP connections at a time.
        seconds: From a connection, or from a request's first byte, to the end of its headers; from there to the end of
            its body; from there to the answer.
    """

    body: int = 64 * MIB
    json: int = 16 * MIB
    pixels: int = 16_777_216
    images: int = 256
    batch: int = 16
    delay: float = 0.002
    queue: int = 512
    memory: int = 1024 * MIB
    connections: int = 512
    seconds: float = 30.0

    @property
    def calls(self) -> int:
        """GRPC calls at a time: their messages are received and unpacked before `memory` can be asked.

        So many that they fit there; at least two batches, one that is computed and one that waits.
        """
        return min(self.connections, max(2 * self.batch, self.memory // self.body))
