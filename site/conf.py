"""Sphinx's settings for the site; ``make site`` (lib/course/site.py) prepares the pages and calls it."""

project = "Cross-resolution person re-identification"
author = "The crossres-reid authors"
copyright = "the crossres-reid authors, MIT license"

extensions = ["myst_nb", "sphinx.ext.githubpages"]
exclude_patterns = ["tests"]  # handed out, no pages
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # what is shown is what is stored
nb_render_markdown_format = "myst"
nb_code_prompt_show = "Show this code"
nb_code_prompt_hide = "Hide this code"
nitpicky = True  # a name that leads nowhere is an error ...
nitpick_ignore_regex = [(r"py:(class|data|exc)", r".*")]  # ... but the types in signatures are other packages', too
python_maximum_signature_line_length = 88
add_module_names = False
suppress_warnings = ["ref.python"]  # a type in a signature whose name two modules have: Source, View, Code

html_theme = "furo"
html_title = "Cross-resolution person re-identification"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
mathjax_path = "mathjax/tex-chtml.js"  # carried along: formulas without a network
templates_path = []
