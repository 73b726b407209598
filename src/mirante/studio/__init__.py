"""The studio: a local web app that goes from the first image to a trained model, for one person on their own machine."""
