"""GPT-2 of 124 million parameters on made-up tokens, for speed alone: Radford et al. 2019 (GPT-2), table 2, first row.

The sizes are the paper's: 12 layers of width 768, 1,024 tokens of context, 50,257 kinds of token; arithmetic in
bfloat16. Made for accelerators. For a text of your own set `data.name=text_file`, `data.path` and `data.tokens=bpe`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(arg: str = "") -> ConfigDict:
    """Variant: tiny."""
    config = common.experiment("language_model.LanguageModel", "made_up")

    config.data.update(dict(like="shakespeare_1m", shape=(1_025,), vocab_size=50_257))

    config.model.update(dict(name="transformer.gpt.GPT", context=1024, width=768, layers=12, num_heads=12))

    config.train.steps = 100
    config.train.batch_size = 16
    config.train.log_every = 10
    config.train.eval_every = 100
    config.train.checkpoint_every = 100
    config.train.precision = "bfloat16"

    config.optimizer.update(dict(name="adamw", learning_rate=6e-4, b1=0.9, b2=0.95, weight_decay=0.1, clip_norm=1.0))
    config.optimizer.update(dict(schedule="cosine", warmup_steps=20))

    config.eval.batch_size = 16

    if arg == "tiny":
        config.data.update(dict(shape=(33,), vocab_size=50))
        config.model.update(dict(context=32, width=32, layers=1, num_heads=2))
    return common.variant(config, arg)
