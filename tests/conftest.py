"""Settings for all tests, and what many share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from fetcher.demo.tls import Authority

# Examples may be slow on a busy machine; a test never fails by the clock.
settings.register_profile(
    "default", deadline=None, max_examples=int(os.environ.get("TEST_EXAMPLES", "100"))
)
settings.load_profile("default")

# Whoever runs tests under nohup has it ignored, and so have the programs that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

_CHECKOUT = Path(__file__).resolve().parent.parent
SAMPLE = Path(os.environ.get("FETCHER_SAMPLE_DATA", _CHECKOUT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def sample_list() -> Path:
    """The first 1,000 rows of each subset of Open Images V3, as packed."""
    path = SAMPLE / "open_images_2017_11_sample" / "images.tar.gz"
    if not path.exists():
        pytest.skip(f"the sample of Open Images is not at {SAMPLE} (FETCHER_SAMPLE_DATA)")
    return path


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture(scope="session")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.write_ca(path)
    return path
