// Property tests draw the same cases in every run, so that a red run is about the change. VITOK_TEST_SEED=N draws others.
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.VITOK_TEST_SEED ?? 1) });
