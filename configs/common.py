"""What configs share. A config is a page to be read: here stand only choices that are the same for a whole kind."""

from ml_collections import ConfigDict


def experiment(task: str, data: str) -> ConfigDict:
    """A task on a data set, with the sections that every config has."""
    config = ConfigDict()
    config.seed = 0
    config.data = ConfigDict(dict(name=data))
    config.model = ConfigDict()
    config.task = ConfigDict(dict(name=task))
    config.train = ConfigDict()
    config.optimizer = ConfigDict()
    config.eval = ConfigDict()
    return config


def image_classification(data: str) -> ConfigDict:
    """An image classifier on the data set of that name."""
    config = experiment("classification.Classification", data)
    config.augment = ConfigDict()
    return config


def tiny(config: ConfigDict) -> ConfigDict:
    """The same program on made-up data of the same shapes, for seconds: what tests run."""
    order = dict(order=config.data.order) if "order" in config.data else {}
    if config.data.name != "made_up":
        config.data = ConfigDict(dict(name="made_up", like=config.data.name, **order))
    config.train.update(dict(batch_size=16, log_every=4, eval_every=8, checkpoint_every=4))
    for key in ("epochs", "steps_per_call"):  # in their place a few steps, one a call
        if key in config.train:
            del config.train[key]
    config.train.steps = 16
    config.eval.batch_size = 20
    if "mesh" in config:  # a test's form does not depend on what was measured
        del config.mesh
    if "sample_every" in config.eval:
        config.eval.sample_every = 8
    if "warmup_steps" in config.optimizer:
        config.optimizer.warmup_steps = 4
    return config


def variant(config: ConfigDict, arg: str, *others: str) -> ConfigDict:
    """The config, or its `tiny` form; an argument that is neither that nor one of `others` is an error."""
    known = ("tiny", *others)
    if arg and arg not in known:
        raise ValueError(f'no variant "{arg}"; there are {", ".join(known)}')
    return tiny(config) if arg == "tiny" else config
