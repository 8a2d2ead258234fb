"""``python -m tests.support.kernels`` compiles what numba compiles at a first call, and keeps it on the disk.

Else, where nothing is compiled yet, each process of the tests that comes before another is done does so for itself.
"""

from oryx_py.cli.evaluate.training import Trainer
from speed_layer.solving.compiling import compile_kernel
from tests.support.training import recipe

if __name__ == "__main__":
    compile_kernel()
    Trainer(recipe(patience=2)).prepare()
