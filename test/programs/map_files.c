/* SPDX-License-Identifier: Apache-2.0
 * Maps each file of its arguments as code, a page of it, and says so by a line. Then it does as it is
 * told: for each line "INDEX FILE" on its standard input it maps that file instead, at the same place, and
 * says so again. Ends with its input.
 *
 * usage: map_files FILE...   prints {"mapped": COUNT} and {"mapped": 1} */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map(const char *path, void *at)
{
	int file = open(path, O_RDONLY);
	void *memory = mmap(at, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | (at ? MAP_FIXED : 0), file, 0);

	if (file < 0 || memory == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	close(file);
	return memory;
}

int main(int argc, char **argv)
{
	void **places = calloc((size_t)argc, sizeof(*places));
	char path[4096];
	int index;

	/* A page between two: neighbours of one file would be one mapping. */
	for (index = 1; index < argc; index++) {
		char *place = mmap(NULL, 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		places[index] = map(argv[index], place);
	}
	printf("{\"mapped\": %d}\n", argc - 1);
	fflush(stdout);
	while (scanf("%d %4095s", &index, path) == 2) {
		if (index < 0 || index >= argc - 1)
			return 1;
		map(path, places[index + 1]);
		printf("{\"mapped\": 1}\n");
		fflush(stdout);
	}
	return 0;
}
