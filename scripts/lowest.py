"""Prints the lowest version of every dependency in pyproject.toml, as pip's constraints."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).parent.with_name("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for requirement in [*project["dependencies"], *extras["heif"], *extras["demo"]]:
    name, version = re.fullmatch(r"([\w.-]+)(?:>=|==)([\w.]+)", requirement).groups()
    print(f"{name}=={version}")
