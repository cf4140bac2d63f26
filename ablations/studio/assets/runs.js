import { attempt, untilReady } from "/assets/studio.js";

attempt(untilReady);
