"""Sentences of the synthetic data set: written ones with varied visemes, and composed ones for large data sets."""

from __future__ import annotations

TEST = (
    "Move that heavy purple sofa over by the window.",
    "Every Monday my boss wears a funny woollen jumper.",
    "How many people have ever visited the blue beach?",
    "The old fisherman bought bread and both big potatoes.",
    "Joan should wash four apples before she bakes.",
    "Whose brown puppy chewed up the rubber ball?",
    "I believe the weather will improve this week.",
    "Three famous poets were awarded a huge prize.",
    "Give my mother the yellow vase of flowers.",
    "You always boil too much water for coffee.",
)
VALIDATION = (
    "Paul found a few shells above the harbour.",
    "Most visitors will arrive by ferry on Thursday.",
    "Be brave and jump off the wooden bridge.",
    "Which movie would you both prefer to watch?",
    "A wise man saves money for bad weather.",
    "Push the empty barrow up to the shed.",
    "Five violins played a moving piece of music.",
    "The woman with the puzzle book fell asleep.",
    "Beth bought cherries, plums and a huge melon.",
    "No one knew who broke the garage window.",
)
TRAINING = (
    "Bob wove five thick yellow shawls for the church.",
    "My father gave both boys warm milk and fudge.",
    "Please choose a purple shirt from the open box.",
    "We usually measure how much water the pool holds.",
    "Joyful women watched the white ship move away.",
    "Vera found three fresh peaches above the big oven.",
    "The bear ate our apple pie by the fire.",
    "Should you push the blue button or the brown one?",
    "Thieves moved my wife's huge wooden table at midnight.",
    "Go home now and feed the happy young puppies.",
    "A small bird hopped over the broken gate.",
    "Maybe five o'clock would be fine for everyone.",
    "Those cheap shoes hurt both of my feet.",
    "You were wrong about the map of Paris.",
    "I bought a box of soft white cheese.",
    "Why do these old buses move so slowly?",
    "The judge spoke about peace, love and music.",
    "Her brother built a wooden boat last summer.",
    "Put the green bottle above the paper cups.",
    "Few people knew what the farmer had found.",
    "Our teacher washed the mud off her boots.",
    "Both babies woke up before half past four.",
    "She may move to Wales for a job.",
    "Wolves usually avoid people and open fields.",
    "Bring me a bowl of warm mushroom soup.",
    "The phone began to buzz at five thirty.",
    "Poor Matthew fell off the blue bicycle.",
    "We fought a heavy wave near the beach.",
    "Would you pass me the apple jam, please?",
    "Good food makes every bad evening better.",
)

_SUBJECTS = (
    "Bob",
    "My mother",
    "The shop",
    "A farmer",
    "Phoebe",
    "Our chief",
    "The baby",
    "Vivian",
    "Some thief",
    "George",
)
_VERBS = ("moved", "opened", "forgot", "saw", "washed", "bought", "measured", "pushed", "fixed", "chose")
_ADJECTIVES = ("warm", "purple", "huge", "happy", "broken", "fresh", "wooden", "yellow", "thin", "beautiful")
_NOUNS = ("boat", "pie", "fish", "house", "video", "table", "map", "jewel", "bathtub", "wolf")
_PLACES = (
    "by the beach",
    "for you",
    "at work",
    "above Paris",
    "before five",
    "with both boys",
    "on Monday",
    "in the fog",
)
#: Number of distinct composed sentences.
N_COMPOSED = len(_SUBJECTS) * len(_VERBS) * len(_ADJECTIVES) * len(_NOUNS) * len(_PLACES)


def composed_sentence(number: int) -> str:
    """Composed sentence ``number``, 0 to ``N_COMPOSED - 1``; different numbers give different texts.

    Raises:
        ValueError: the number is out of range.
    """
    if not 0 <= number < N_COMPOSED:
        raise ValueError(
            f"composed sentence {number}: only {N_COMPOSED} exist; lower synthetic.scale or the number of clips"
        )
    # The stride is coprime to the count: it visits every sentence once, and neighbours differ in all words.
    remaining = number * 30_011 % N_COMPOSED
    words = []
    for choices in (_SUBJECTS, _VERBS, _ADJECTIVES, _NOUNS, _PLACES):
        remaining, index = divmod(remaining, len(choices))
        words.append(choices[index])
    return "{} {} the {} {} {}.".format(*words)
