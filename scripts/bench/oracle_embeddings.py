"""One export with tensorflow/hub's example: python oracle_embeddings.py EXPORTER [FILE MODULE_DIR].

Without a file it only imports what an export needs.
"""

import importlib.util
import sys

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("exporter", sys.argv[1])
    exporter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(exporter)
    if len(sys.argv) > 2:
        file, module_dir = sys.argv[2:]
        exporter.export_module_from_file(
            file, module_dir, exporter.parse_line, num_oov_buckets=1, preprocess_text=True
        )
