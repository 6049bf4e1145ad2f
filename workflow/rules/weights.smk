"""What the configuration says of networks' weights and classes: whether it fits together, which files it names."""

from urllib.request import url2pathname

from explanations.downloads.addresses import REMOTE, shown, split_address
from explanations.networks.places import Place


def own_weights(wildcards):
    """The file of a network's weights if it is on disk and no hash says that it is the same as ever: an input then."""
    weights = config["networks"][wildcards.network]["weights"]
    return [] if weights.get("sha256") else file_of(weights.get("url", ""))


def named_classes(wildcards):
    """The file that a network's classes are named in, if they are."""
    classes = config["networks"][wildcards.network].get("classes")
    return file_of(classes) if isinstance(classes, str) and not classes.isdecimal() else []


def file_of(address):
    """The path that an address is of; nothing if it is a server's, or empty."""
    parts = split_address(address)
    path = url2pathname(parts.path) if parts.scheme == "file" else address
    return [] if not path or parts.scheme in REMOTE else local(os.path.expanduser(path))


def flag_of_classes(wildcards):
    """What a network's classes are as a flag: a list, a path, a number, or nothing."""
    return str(config["networks"][wildcards.network].get("classes", ""))


def check_networks():
    """Stop with one line unless what the configuration says of each network's classes and weights fits together."""
    for name, network in config["networks"].items():
        where, weights, classes = f"configuration: networks.{name}", network.get("weights"), network.get("classes")
        asked = network["arguments"].get("num_classes")
        if network["source"] == OWN_CODE:
            try:
                check_configured(network)
            except InputError as error:
                raise WorkflowError(f"{where}.{error}") from None
        if weights is None:
            if "preprocessing" in network:
                raise WorkflowError(f"{where}.preprocessing goes with weights; what is trained here has its own")
            if classes is not None:
                raise WorkflowError(
                    f"{where}.classes goes with weights; of what is trained here, folders are the classes"
                )
            continue
        if not takes_weights(network["source"]):
            said = f"source is {network['source']}, of which there are no weights; allowed is training"
            raise WorkflowError(f"{where}.{said}")
        try:
            Place.named(weights).check()
        except InputError as error:
            raise WorkflowError(f"{where}.{error}") from None
        if classes is not None and not weights.get("url") and not weights.get("package"):
            raise WorkflowError(
                f"{where}.weights.url is missing; classes are those of weights of your own, at that url"
            )
        if not weights.get("name") and classes is None and network["source"] != OWN_CODE:
            raise WorkflowError(f"{where}.weights.name is missing; only weights of your own, with classes, do without")
        for key, path in (("weights.url", weights.get("url", "")), ("classes", classes)):
            try:
                file = file_of(path) if isinstance(path, str) else []
            except InputError as error:
                raise WorkflowError(f"{where}.{key} is {error}") from None
            if file and not {"{", "}"}.isdisjoint(path):
                raise WorkflowError(f"{where}.{key} is {path}; allowed is a path without {{ and }}")
        file = file_of(weights.get("url", ""))
        if file and not Path(file).is_file():
            raise WorkflowError(f"{where}.weights.url is {shown(weights['url'])}; there is no such file")
        if classes is None:
            continue
        count = count_classes(f"{where}.classes", classes)
        if asked not in (None, count):
            raise WorkflowError(f"{where}.arguments.num_classes is {asked}; networks.{name}.classes are {count}")


def count_classes(where, classes):
    """How many classes a list, a number or a file of names means."""
    if isinstance(classes, list):
        return len(classes)
    if str(classes).isdecimal():
        if int(classes) < 2:
            raise WorkflowError(f"{where} is {classes}; allowed is a number of at least 2")
        return int(classes)
    try:
        names = Path(classes).expanduser().read_text("utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError):
        raise WorkflowError(
            f"{where} is {shown(classes)}; allowed is a text file that can be read, a list or a number"
        ) from None
    if len(names) < 2:
        raise WorkflowError(f"{where} is {classes}; it holds {len(names)} names; allowed are two or more")
    return len(names)


check_networks()
