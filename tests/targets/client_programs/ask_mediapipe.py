"""Prints MediaPipe Tasks' top 3 for pictures; runs in an environment of its own."""

import json
import sys

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision

options = vision.ImageClassifierOptions(
    base_options=BaseOptions(model_asset_path=sys.argv[1]), max_results=3
)
answers = []
with vision.ImageClassifier.create_from_options(options) as classifier:
    for path in sys.argv[2:]:
        picture = mediapipe.Image.create_from_file(path)
        (head,) = classifier.classify(picture).classifications
        answers.append([[one.category_name, one.score] for one in head.categories])
print(json.dumps(answers))
