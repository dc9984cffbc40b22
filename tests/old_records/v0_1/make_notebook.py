"""Makes notebook.ipynb of two cells and runs it in a kernel, as tests/notebook does."""

import nbclient
import nbformat

notebook = nbformat.v4.new_notebook()
notebook.cells = [
    nbformat.v4.new_code_cell(
        "nodes = 5\n\n\n"
        "def load():\n"
        "    from sklearn.datasets import load_digits\n\n"
        "    digits = load_digits()\n"
        "    x, y = digits.images.astype('float32')[..., None] / 16, digits.target\n"
        "    return (x[:300], y[:300]), (x[300:400], y[300:400])\n\n\n"
        "def build(input_shape, classes):\n"
        "    import keras\n\n"
        "    assert input_shape == load()[0][0].shape[1:]\n"
        "    layers = [keras.layers.Flatten(), keras.layers.Dense(nodes, 'relu'), keras.layers.Dense(classes, 'softmax')]\n"
        "    return keras.Sequential([keras.Input(input_shape), *layers])\n"
    ),
    nbformat.v4.new_code_cell(
        "import hpcnn\n\n"
        "result = hpcnn.run(build, load, run_dir='runs/notebook', epochs=3, batch_size=20, learning_rate=0.1, progress=False)\n"
        "print(result)\nprint(result.epochs.to_csv())"
    ),
]
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, "notebook.ipynb")
for cell in notebook.cells:
    for output in cell.outputs:
        print(output.get("text", output))
