"""Judgements: facts in, findings out. Nothing here touches the machine."""
