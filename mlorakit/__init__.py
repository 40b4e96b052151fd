"""MLoRA and LT4REC on current PyTorch: the models and kernels behind the notebooks."""

import atexit
import gc
import os
import warnings

__version__ = "0.1.0"

# libgomp's idle threads spin for milliseconds, which costs a factor of ten or more on a core that
# something else uses too. At 20,000 turns a spin outlasts the gaps within a training step and no
# more. The library reads the variable once, when torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

# pooch loads tqdm.auto, which in a notebook warns of missing widgets; no bar here is one.
warnings.filterwarnings("ignore", message="IProgress not found")

# At its end Python looks for garbage among all objects, which with PyTorch's takes most of a second
# of every notebook; the memory is given back anyway.
atexit.register(gc.freeze)
