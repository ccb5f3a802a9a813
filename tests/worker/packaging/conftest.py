import pytest
import torch

from worker.sources.models import load_model


@pytest.fixture(scope="session")
def loaded():
    """The demo model."""
    torch.set_num_threads(1)
    return load_model("demo:bert-tiny-wordnet", allow_paths=False)
