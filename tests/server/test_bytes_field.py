"""Bytes written as a field are that field to protobuf, however many they are."""

from __future__ import annotations

import pytest
from segengine_server.bytes_field import bytes_field
from segengine_server.wire import segengine_pb2 as pb


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 21])
def test_a_field_of_bytes_is_read_as_it_was_written(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for message in (pb.StreamAudienceReply, pb.StreamRunReply):
        written = bytes_field(message.IPC_FIELD_NUMBER, data)
        assert message.FromString(written).ipc == data
    if data:
        assert written == pb.StreamRunReply(ipc=data).SerializeToString()


def test_a_field_has_its_number() -> None:
    assert pb.GetPageRequest.FromString(bytes_field(1, b"home")).page == "home"
    assert pb.UpsertCustomersRequest.FromString(bytes_field(2, b"till-7")).key == "till-7"
