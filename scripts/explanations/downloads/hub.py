"""Files of weights from the Hugging Face Hub, kept in its own cache, which HF_HOME and HF_ENDPOINT move."""

from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from explanations.downloads.addresses import without_secrets
from explanations.errors import InputError
from explanations.files.hashes import file_hash

# what the hub's client lets through of its transport's errors, whichever library that is
TRANSPORT_ERRORS = tuple(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ in ("HTTPError", "RequestException"))
HUB_FILE = "model.safetensors"


def fetch_from_hub(repository: str, sha256: str) -> Path:
    """The file of weights in a repository, name@revision or its name; InputError if it can't be had, or is another.

    Its hash is `sha256`, or what the hub states.
    """
    name, _, revision = repository.partition("@")
    try:
        path = Path(hf_hub_download(name, HUB_FILE, revision=revision or None))
        expected = sha256 or _stated_hash(path, name, revision)
    except (*TRANSPORT_ERRORS, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        text = without_secrets(" ".join(str(error).split())) or type(error).__name__
        raise InputError(f"{name}/{HUB_FILE}: can't be fetched from the hub ({text})") from None
    found = file_hash(path)
    if found != expected:
        path.resolve().unlink()
        raise InputError(f"{name}/{HUB_FILE}: its SHA-256 is {found}; expected {expected}")
    return path


def _stated_hash(path: Path, name: str, revision: str) -> str:
    """SHA-256 of a file as the hub states it: its cache names blobs so, and links to them where it can."""
    blob = path.resolve().name
    if blob != path.name:
        return blob
    return get_hf_file_metadata(hf_hub_url(name, HUB_FILE, revision=revision or None)).etag
