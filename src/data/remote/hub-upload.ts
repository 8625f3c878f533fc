// Files to a model repository on the Hugging Face hub, in one commit; the repository is made where there is none. Which files is the
// caller's choice. The way back is hub-model.ts.
import { createRepo, HubApiError, repoExists, uploadFilesWithProgress } from "@huggingface/hub";
import { ConfigError } from "../../config-error.js";
import { hubUrl } from "./hub-files.js";

export interface HubUpload {
  /** `owner/name`, and the branch that the commit goes to. */
  readonly name: string;
  readonly revision: string;
  readonly token: string;
  /** By path in the repository: a file of this machine, or the content itself. */
  readonly files: Readonly<Record<string, URL | Blob>>;
  readonly title: string;
  /** A repository that is made is not public. */
  readonly isPrivate?: boolean;
  /** As a proposal that the repository's owner may merge. */
  readonly isPullRequest?: boolean;
  /** Hears what is done now, and which file is over. */
  readonly onProgress?: (text: string) => void;
}

export interface HubCommit {
  readonly commit: string;
  readonly url: string;
  /** Of the proposal, where it is one. */
  readonly pullRequest?: string;
  /** The repository was made for it. */
  readonly isNew: boolean;
}

const phases = {
  preuploading: "asking how the files are sent",
  uploadingLargeFiles: "sending large files",
  committing: "committing",
};

/** @throws ConfigError where the hub refuses token, name or branch; Error where it cannot be reached or fails */
export async function uploadToHub(upload: HubUpload): Promise<HubCommit> {
  const { name, isPrivate = false } = upload;
  try {
    const access = accessOf(upload);
    const isNew = !(await repoExists(access));
    if (isNew) await createRepo({ ...access, visibility: isPrivate ? "private" : "public" });
    return { ...(await commit(upload)), isNew };
  } catch (error) {
    throw explained(error, name, upload.revision);
  }
}

const accessOf = ({ name, token }: HubUpload) => ({
  repo: { type: "model" as const, name },
  accessToken: token,
  hubUrl: hubUrl(),
});

async function commit(upload: HubUpload): Promise<Omit<HubCommit, "isNew">> {
  const { files, title, revision, isPullRequest = false, onProgress } = upload;
  const steps = uploadFilesWithProgress({
    ...accessOf(upload),
    ...{ commitTitle: title, branch: revision, isPullRequest },
    files: Object.entries(files).map(([path, content]) => ({ path, content })),
  });
  for (;;) {
    const { done, value } = await steps.next();
    if (done) {
      if (!value) throw new Error("Expected a commit from the hub, received none.");
      const { commit, pullRequestUrl } = value;
      const also = pullRequestUrl ? { pullRequest: pullRequestUrl } : {};
      return { commit: commit.oid, url: commit.url, ...also };
    }
    if (value.event === "phase") onProgress?.(phases[value.phase]);
    else if (value.state === "uploading" && value.progress === 1) onProgress?.(value.path);
  }
}

function explained(error: unknown, name: string, revision: string): unknown {
  const hub = hubUrl();
  if (!(error instanceof HubApiError)) {
    const isUnreachable = error instanceof TypeError && error.message === "fetch failed";
    const reason = isUnreachable ? String((error.cause as Error | undefined)?.message) : "";
    return isUnreachable
      ? new Error(`Expected ${hub} to answer, received: ${reason}. Is it reachable from here?`, {
          cause: error,
        })
      : error;
  }
  const said = { cause: error };
  switch (error.statusCode) {
    case 401:
      return new ConfigError(
        `Expected a token that ${hub} knows, received one that it refuses. Make one with write access at ${hub}/settings/tokens.`,
        said,
      );
    case 403:
      return new ConfigError(
        `Expected a token that may write to ${name}, received one that may not. It needs write access, and you a part in what "${name.split("/")[0]}" owns.`,
        said,
      );
    case 404:
      return new ConfigError(
        `Expected a branch of ${name}, received "${revision}", which the hub does not find. Make it first, or leave it out.`,
        said,
      );
    default:
      return new Error(`${hub} answered ${error.statusCode} for ${name}: ${error.message}`, said);
  }
}
