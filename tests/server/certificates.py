"""Keys and certificates for loopback, made by openssl for a test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificates"
)


def certificate(folder: Path, name: str, authority: str | None = None) -> None:
    """`name.pem` and `name.key`, signed by an authority of the folder or by itself."""
    made = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
        f"{name}.pem", "-addext", "subjectAltName=IP:127.0.0.1",
    ]  # fmt: skip
    if authority is not None:
        made += ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
