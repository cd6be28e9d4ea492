"""How Beam ships Arrow tables from step to step."""

import pyarrow as pa
from apache_beam.coders import coders, registry

# Without options, pyarrow looks into the environment for them, for each table.
_OPTIONS = pa.ipc.IpcWriteOptions()


class ArrowCoder(coders.Coder):
    """Ships an Arrow table as an IPC stream: its own rows only, also if it is a slice.

    Without a coder Beam pickles tables, and a pickled slice brings along the buffers it was cut
    from.
    """

    def encode(self, value: pa.Table) -> bytes:
        """The table as an Arrow IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema, options=_OPTIONS) as writer:
            writer.write_table(value.combine_chunks())
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def decode(self, encoded: bytes) -> pa.Table:
        """The table; its columns share the memory of `encoded`."""
        return pa.ipc.open_stream(encoded).read_all()

    def is_deterministic(self) -> bool:
        """Tables are values here, never keys."""
        return False

    def to_type_hint(self) -> type:
        """The type this coder is for."""
        return pa.Table


registry.register_coder(pa.Table, ArrowCoder)
