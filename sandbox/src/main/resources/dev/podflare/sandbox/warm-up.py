# Runs once in the Python process of the default template, before that is frozen: every sandbox finds the usual
# libraries imported. They are in sys.modules, not among the names of the user's code.


def _warm_up():
    import gc
    import importlib
    import os
    import sys
    import warnings

    # What would take a sandbox more than a second to import, emulated, and the parts of it that code mostly uses.
    names = """
        numpy numpy.random numpy.linalg numpy.fft
        pandas
        matplotlib matplotlib.pyplot matplotlib.dates matplotlib.ticker matplotlib.patches matplotlib.animation
        mpl_toolkits.mplot3d
        scipy scipy.stats scipy.optimize scipy.signal scipy.integrate scipy.interpolate scipy.linalg scipy.sparse
        scipy.spatial scipy.ndimage scipy.cluster.hierarchy
        sklearn sklearn.linear_model sklearn.ensemble sklearn.cluster sklearn.preprocessing sklearn.model_selection
        sklearn.metrics sklearn.pipeline sklearn.decomposition sklearn.datasets sklearn.svm sklearn.neighbors
        sklearn.tree sklearn.impute sklearn.compose sklearn.feature_extraction.text sklearn.naive_bayes
        sklearn.manifold sklearn.neural_network
        seaborn statsmodels.api statsmodels.formula.api sympy networkx
        requests httpx aiohttp bs4 lxml.etree lxml.html html5lib
        PIL.Image PIL.ImageDraw PIL.ImageFont PIL.ImageFilter
        openpyxl xlsxwriter docx pypdf yaml jinja2 tabulate tqdm tqdm.auto rich.console rich.table dotenv sqlalchemy
        plotly.express plotly.graph_objects altair
        json csv re math random statistics datetime time calendar collections itertools functools operator string
        textwrap decimal fractions dataclasses enum typing abc copy pprint heapq bisect uuid hashlib hmac base64
        secrets struct io os.path pathlib shutil glob fnmatch tempfile zipfile tarfile gzip bz2 lzma pickle sqlite3
        subprocess threading multiprocessing concurrent.futures queue asyncio socket ssl http.client http.server
        urllib.request urllib.parse email.message html xml.etree.ElementTree argparse logging configparser inspect
        traceback unittest doctest timeit cProfile zoneinfo locale difflib platform signal contextlib types
    """.split()
    environment, path = dict(os.environ), list(sys.path)
    absent = []
    with warnings.catch_warnings():  # which also takes back the filters that libraries add
        warnings.simplefilter("ignore")
        for name in names:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as missing:
                # A slim image, or another distribution, lacks some. What is there must come up.
                if missing.name != name.partition(".")[0]:
                    raise
                absent.append(missing.name)
            else:
                print(name, flush=True)  # whoever waits for it sees that it goes on
        if "matplotlib" in sys.modules and "pandas" in sys.modules:
            # The first figure and the first data frame cost far more than the later ones.
            pyplot, pandas = sys.modules["matplotlib.pyplot"], sys.modules["pandas"]
            from io import BytesIO

            figure = pyplot.figure()
            pyplot.plot([1, 2], label="a")
            pyplot.title("A")
            pyplot.legend()
            figure.savefig(BytesIO(), format="png", bbox_inches="tight")
            pyplot.close(figure)
            frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
            frame.describe()._repr_html_()
            frame.groupby("b").a.sum().to_string()
    # Nothing of it is to be met by the user's code but the modules.
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    sys.path[:] = path
    if absent:
        print("not in this image:", ", ".join(dict.fromkeys(absent)))
    # Keeps collections from touching, and so copying, what all sandboxes share.
    gc.collect()
    gc.freeze()


_warm_up()
del _warm_up
