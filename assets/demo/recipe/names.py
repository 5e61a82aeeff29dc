"""The words of the demo model's world: objects, colours, places, and the few rules of English that they need."""

# A star marks a class whose drawings are recoloured into one of the eleven colours below.
_TABLE = """
animal: dog cat horse cow pig sheep goat chicken duck penguin owl eagle parrot flamingo swan turkey peacock frog turtle snake lizard crocodile fish shark dolphin whale octopus crab lobster snail butterfly bee ladybug spider ant elephant rhino hippo giraffe zebra lion tiger camel kangaroo monkey gorilla bear panda koala rabbit mouse squirrel hedgehog fox wolf deer bat dinosaur
fruit: apple pear orange lemon banana watermelon grapes strawberry cherry peach pineapple avocado
vegetable: tomato eggplant potato carrot corn pepper broccoli onion mushroom
food: bread cheese egg burger pizza sandwich donut cookie cake pie candy
vehicle: car* bus* truck* tractor* bicycle* motorcycle* train* airplane helicopter* rocket* boat* ship*
building: house castle tent*
thing: chair* bed* couch* door* lamp clock* watch* book* umbrella* cup* bottle* spoon knife candle* sun moon star* snowman ghost skull pumpkin trophy
device: phone* laptop camera television radio*
tool: pencil scissors* key lock* hammer* axe* wrench
instrument: guitar* violin trumpet drum*
toy: ball* kite* balloon* gift* robot
clothing: hat* crown glasses* shoe* boot* shirt* dress* sock* glove* backpack* bag* ring
plant: rose sunflower tulip* tree palm cactus leaf
"""
CATEGORY, TINTED = {}, set()
for _line in _TABLE.strip().splitlines():
    _cat, _names = _line.split(": ")
    for _n in _names.split():
        CATEGORY[_n.rstrip("*")] = _cat
        if _n.endswith("*"):
            TINTED.add(_n.rstrip("*"))
# Classes whose shape or ink does not take a colour well are drawn as they are.
TINTED -= {"train", "rocket", "ship", "clock", "watch", "phone", "radio", "candle", "glasses",
           "sock", "scissors", "hammer", "axe", "drum", "helicopter"}
CLASSES = list(CATEGORY)
CLASS_ID = {c: i for i, c in enumerate(CLASSES)}
CATEGORIES = [c for c in dict.fromkeys(CATEGORY.values())]
NAMED_CATEGORIES = [c for c in CATEGORIES if c != "thing"]

COLORS = {"red": (.86, .10, .12), "green": (.13, .62, .20), "blue": (.14, .33, .86), "yellow": (.97, .85, .12),
          "orange": (.97, .53, .08), "purple": (.53, .20, .72), "pink": (.98, .55, .74), "brown": (.45, .27, .13),
          "black": (.13, .13, .14), "white": (.97, .97, .97), "gray": (.55, .56, .58)}
COLOR_NAMES = list(COLORS)

# place: the phrase of a description, the answer to "What is the background?", and whether it has a time of day.
PLACES = {
    "meadow": ("in a meadow", "A meadow", True), "desert": ("in the desert", "A desert", True),
    "beach": ("on a beach", "A beach", True), "sea": ("on the sea", "The sea", True),
    "lake": ("by a lake", "A lake", True), "snow": ("in the snow", "Snow", True),
    "mountain": ("in the mountains", "Mountains", True), "forest": ("in a forest", "A forest", True),
    "field": ("in a field", "A field", True), "road": ("on a road", "A road", True),
    "city": ("in a city", "A city", True), "sky": ("in the sky", "The sky", True),
    "brick": ("by a brick wall", "A brick wall", False), "room": ("in a room", "A room", False),
    "table": ("on a table", "A table", False), "pattern": ("on a pattern", "A pattern", False),
    "underwater": ("under water", "Water", False), "space": ("in space", "Space", False)}
PLACE_NAMES = list(PLACES)
TIMES = ["day", "sunset", "night"]
# What a patch of background shows.
GROUNDS = ["sky", "grass", "sand", "water", "snow", "mountain", "forest", "field", "road", "city", "brick", "wall",
           "wood", "pattern", "space"]
GROUND_ID = {g: i for i, g in enumerate(GROUNDS)}
NUMBERS = ["zero", "one", "two", "three", "four"]

_IRREGULAR = {"mouse": "mice", "wolf": "wolves", "leaf": "leaves", "sheep": "sheep", "fish": "fish", "deer": "deer",
              "grapes": "grapes", "scissors": "scissors", "glasses": "glasses", "knife": "knives",
              "octopus": "octopuses", "broccoli": "broccoli", "corn": "corn", "bread": "bread", "candy": "candies",
              "cheese": "cheese", "clothing": "clothes", "fruit": "fruits", "food": "foods"}
_MASS = {"corn", "bread", "broccoli", "cheese", "clothing", "food"}
_PLURAL_ONLY = {"grapes", "scissors", "glasses"}


def plural(word):
    """`mouse` -> `mice`."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("s", "x", "ch", "sh")) or word in ("tomato", "potato"):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def is_many(word):
    """Whether the one thing takes `are` (scissors)."""
    return word in _PLURAL_ONLY


def article(phrase):
    """`red apple` -> `a red apple`; mass nouns and pairs take `some`."""
    last = phrase.split()[-1]
    if last in _PLURAL_ONLY or last in _MASS:
        return "some " + phrase
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def capital(text):
    return text[:1].upper() + text[1:]
