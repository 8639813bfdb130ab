// @ts-check
import { follow } from "./live.js";

follow(`/overview/live${location.search}`);
