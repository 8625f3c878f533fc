// The HTTP service's types, written by scripts/make-client.ts from its OpenAPI document: do not edit.

export interface paths {
    "/v1/encode": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** A picture or clip to its latent */
        post: {
            parameters: {
                query?: {
                    /** @description Which model, where several are served; the first by default. */
                    model?: string;
                    /** @description Clips: frames a second to take; the file's own by default. */
                    fps?: number;
                    /** @description Clips: so many frames; all to the end by default. */
                    frames?: number;
                    /** @description Clips: seconds from the beginning. */
                    start?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "image/*": Blob;
                    "video/*": Blob;
                    "multipart/form-data": {
                        /** Format: binary */
                        file?: Blob;
                    };
                };
            };
            responses: {
                /** @description A safetensors file: `0.mean` float32 [L, c], metadata `0.grid` [t, h, w], `0.size` [frames, height, width] and for clips `0.fps`. */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/octet-stream": Blob;
                    };
                };
                /** @description The body is missing, cut off or no form. */
                default: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Error"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/decode": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** A latent to its picture or clip */
        post: {
            parameters: {
                query?: {
                    /** @description Which model, where several are served; the first by default. */
                    model?: string;
                    /** @description Masked models: decode from the first tokens only. */
                    keep?: number;
                    /** @description png (default), webp or jpg for a picture; mp4 (default), gif or webp for a clip. */
                    format?: "png" | "webp" | "jpg" | "mp4" | "gif";
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/octet-stream": Blob;
                    "multipart/form-data": {
                        /** Format: binary */
                        file?: Blob;
                    };
                };
            };
            responses: {
                /** @description The picture or clip, of the size it had. */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "image/png": Blob;
                        "image/webp": Blob;
                        "image/jpeg": Blob;
                        "video/mp4": Blob;
                        "image/gif": Blob;
                    };
                };
                /** @description The body is missing, cut off or no form. */
                default: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Error"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/reconstruct": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Through the model and back */
        post: {
            parameters: {
                query?: {
                    /** @description Which model, where several are served; the first by default. */
                    model?: string;
                    /** @description Masked models: decode from the first tokens only. */
                    keep?: number;
                    /** @description png (default), webp or jpg for a picture; mp4 (default), gif or webp for a clip. */
                    format?: "png" | "webp" | "jpg" | "mp4" | "gif";
                    /** @description Clips: frames a second to take; the file's own by default. */
                    fps?: number;
                    /** @description Clips: so many frames; all to the end by default. */
                    frames?: number;
                    /** @description Clips: seconds from the beginning. */
                    start?: number;
                };
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "image/*": Blob;
                    "video/*": Blob;
                    "multipart/form-data": {
                        /** Format: binary */
                        file?: Blob;
                    };
                };
            };
            responses: {
                /** @description The picture or clip, of the size it had. */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "image/png": Blob;
                        "image/webp": Blob;
                        "image/jpeg": Blob;
                        "video/mp4": Blob;
                        "image/gif": Blob;
                    };
                };
                /** @description The body is missing, cut off or no form. */
                default: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Error"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/generate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Samples of a generator */
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["GenerateRequest"];
                };
            };
            responses: {
                /** @description Class by class, in their order. */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Generated"];
                    };
                };
                /** @description The body is missing, cut off or no form. */
                default: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Error"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/models": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The models served, and their configs */
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                /** @description The first is the default. */
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": {
                            models: components["schemas"]["Model"][];
                        };
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Error: {
            error: {
                status: number;
                message: string;
            };
        };
        Generated: {
            model: string;
            samples: {
                class: number;
                name: string | null;
                seed: number;
                /** @description Its noise is drawn by seed and index. */
                index: number;
                /** @example image/png */
                type: string;
                /**
                 * Format: byte
                 * @description The file in base64.
                 */
                data: string;
            }[];
        };
        GenerateRequest: {
            /** @description Which generator; the first by default. */
            model?: string;
            /**
             * @description By number or name.
             * @example [
             *       0
             *     ]
             */
            classes: (string | number)[];
            /**
             * @description Samples of each class.
             * @default 1
             */
            count?: number;
            /**
             * @description Of the noise.
             * @default 0
             */
            seed?: number;
            /** @default 50 */
            steps?: number;
            /**
             * @default ddim
             * @enum {string}
             */
            sampler?: "ddim" | "dpm++";
            /**
             * @description Towards the class; 1 is none.
             * @default 1.5
             */
            guidance?: number;
            /**
             * @description png (default), webp or jpg for a picture; mp4 (default), gif or webp for a clip.
             * @enum {string}
             */
            format?: "png" | "webp" | "jpg" | "mp4" | "gif";
        };
        Model: {
            name: string;
            /** @description Of the tokenizer. */
            config: {
                [key: string]: unknown;
            };
            generator?: {
                classes: number;
                classNames: string[];
                size: {
                    frames: number;
                    height: number;
                    width: number;
                };
            };
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
